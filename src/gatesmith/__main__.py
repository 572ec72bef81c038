"""`python -m gatesmith` is the command line."""

import sys

from gatesmith.cli import main

sys.exit(main())
