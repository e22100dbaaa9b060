"""What blockcache knows of libraries: one file each for fingerprints, one for the codec, loaded when the library is."""
