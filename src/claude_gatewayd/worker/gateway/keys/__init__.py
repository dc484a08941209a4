"""Who may call: named keys, where a request comes with one or needs one."""
