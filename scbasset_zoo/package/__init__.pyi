from .finding import Finding as Finding
from .reading import Package as Package
from .sealing import seal_package as seal_package
from .verifying import verify_package as verify_package
from .writing import write_package as write_package
