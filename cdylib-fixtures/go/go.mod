module dlsoak.invalid/fixtures

go 1.21
