"""The keeper in real daemons: credentials that live seconds, under load, while AWS and the person do what they do."""
