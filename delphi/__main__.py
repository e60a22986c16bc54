"""``python -m delphi``, the same as the command ``delphi``."""

import sys

from delphi.cli import main

if __name__ == "__main__":
    sys.exit(main())
