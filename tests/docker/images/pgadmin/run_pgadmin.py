"""What gunicorn serves, and what makes pgAdmin's own database when it is run."""

import builtins

builtins.SERVER_MODE = True

from pgAdmin4 import app as app  # noqa: E402 (it reads the mode when it is imported)
