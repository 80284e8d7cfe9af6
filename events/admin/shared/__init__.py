"""What the rooms of the admin share: whose log it is, pages by key, and how things are worded."""
