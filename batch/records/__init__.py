"""Records of items and users: files of several forms, recognized by content, merged by id.

catalogue, profiles    what an item and a user are, and the names of their columns
read                   files ─► records by id
forms, naming, rows    one file ─► its form ─► its columns ─► rows of named fields
fields, names, ages    one value, cleaned
remarks, found         what may have been misread, and what was found
vectors                vectors from outside
"""
