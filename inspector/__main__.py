"""`python -m inspector` is the command `inspector`."""

import sys

from inspector.faces.cli import main

sys.exit(main())
