"""All that gradstep claims of its speed, measured on this machine: see README.md."""

import sys

from gradstep.bench.command import main

if __name__ == "__main__":
    sys.exit(main())
