"""Register-transfer level output: Verilog with test benches and vectors."""
