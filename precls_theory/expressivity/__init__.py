"""What each architecture can and cannot express, proved."""
