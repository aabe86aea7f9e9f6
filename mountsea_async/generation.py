"""What may be asked of `generate`: its task kinds, models and fields, checked before anything is sent.

Pure. Documentation: docs.mountsea.ai/api-reference/suno/generate and .../generateSchema.
"""

from __future__ import annotations
