"""Checks of assets: what each asset's rows have to be, looked at before readers see them, and what came of it."""
