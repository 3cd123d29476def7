"""One theorem (or one family), one file; importing a file registers its theorems."""
