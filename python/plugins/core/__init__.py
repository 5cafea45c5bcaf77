"""What a plug-in of the search may import."""
