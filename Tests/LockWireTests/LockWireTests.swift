import Testing

@Test("the module is there") func moduleIsThere() {}
