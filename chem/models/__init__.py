"""Models of molecules and of structures.

dmpnn         `DMPNN`: messages along directed bonds (molecules)
fingerprint   `FingerprintMLP`: a plain network on descriptors (molecules)
"""
