"""What users did: files of events, told apart by content, parsed in bulk, noise kept aside."""
