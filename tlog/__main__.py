"""`python -m tlog`."""

import sys

from tlog.cli import main

sys.exit(main())
