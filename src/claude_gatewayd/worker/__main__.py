import sys

from claude_gatewayd.worker.worker import main

if __name__ == "__main__":
    sys.exit(main())
