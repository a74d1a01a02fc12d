"""Records of items and users: files of several kinds, recognized by content, merged by id."""
