"""The steps. A step never imports from today's tables: it must do in years what it does now."""
