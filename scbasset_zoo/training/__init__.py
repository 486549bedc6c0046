"""From cells x peaks and a genome to a fitted network: prepares peaks, trains, and keeps runs."""
