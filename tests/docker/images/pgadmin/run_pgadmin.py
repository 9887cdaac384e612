"""What gunicorn serves, and what makes pgAdmin's own database when it is run."""

import builtins

builtins.SERVER_MODE = True  # type: ignore[attr-defined]  # pgAdmin looks for it there

# It reads the mode when it is imported.
from pgAdmin4 import app as app  # type: ignore[import-not-found]  # noqa: E402  # only the image has it
