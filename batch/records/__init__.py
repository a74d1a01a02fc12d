"""What is known of items and users: files told apart by content, merged by id."""
