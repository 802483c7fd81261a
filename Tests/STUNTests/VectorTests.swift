import Testing
@Suite struct VectorTests { }
