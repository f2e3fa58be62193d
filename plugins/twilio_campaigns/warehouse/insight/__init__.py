"""What people want to know of campaigns, runs and messages, answered from summaries that whoever writes keeps."""
