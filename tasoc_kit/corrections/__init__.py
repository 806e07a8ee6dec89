"""Raw light curves in, corrected light curves out: what all stars share is theirs no longer."""
