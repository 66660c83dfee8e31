"""Tables, texts and the audit of what is published."""
