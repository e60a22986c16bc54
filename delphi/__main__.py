"""``python -m delphi``, the same as the command ``delphi``."""

import sys

if __name__ == "__main__":
    try:
        from delphi.cli import main

        code = main()
    except KeyboardInterrupt:  # during the imports above, before main() can say so
        print("delphi: interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)
