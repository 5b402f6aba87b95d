"""The agent half: follows the windows of an AppVM, shares their pixels, and plays the user's input to them."""
