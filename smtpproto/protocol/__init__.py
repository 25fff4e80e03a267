"""Ring 3: who may say what, and when. State machines without I/O, time or threads."""
