import MartletPrimitives
import MartletSTUN
import TestSupport
import Testing

/// RFC 8445 §5.1.1.2.
@Suite struct BindingQueryTests {
  private let address = SocketAddress(ip: .v4(0xC000_0201), port: 7)

  private func receive(_ message: STUNMessage, _ query: inout BindingQuery) throws(STUNError) -> BindingQuery.Answer {
    try query.receive(message.encoded().span.bytes)
  }

  private func transaction(_ query: BindingQuery) throws -> TransactionID {
    try ReceivedSTUNMessage(parsing: query.request.span.bytes).message.transaction
  }

  @Test func `the mapped address ends the query, whichever attribute has it`() throws {
    for attribute in [STUNAttribute.xorMappedAddress(address), .mappedAddress(address)] {
      var random = RandomSource(seed: 1)
      var query = BindingQuery(random: &random, now: .zero)
      #expect(query.timeout(now: .zero + .milliseconds(500)) == .transmit)
      let id = try transaction(query)
      #expect(throws: STUNError.unknownTransaction) {
        try receive(STUNMessage(.success, .binding, TransactionID(high: 0, low: 0), [attribute]), &query)
      }
      #expect(throws: STUNError.unexpected(.request, .binding)) { try receive(STUNMessage(.request, .binding, id), &query) }
      #expect(throws: STUNError.unexpected(.success, .binding)) { try receive(STUNMessage(.success, .binding, id), &query) }
      #expect(query.deadline != nil)
      #expect(try receive(STUNMessage(.success, .binding, id, [attribute]), &query) == .mapped(address))
      #expect(query.deadline == nil)
      #expect(throws: STUNError.unknownTransaction) { try receive(STUNMessage(.success, .binding, id, [attribute]), &query) }
    }
  }

  @Test func `a refusal ends it too`() throws {
    var random = RandomSource(seed: 1)
    var query = BindingQuery(random: &random, now: .zero)
    let id = try transaction(query)
    let error = STUNErrorCode(300, "elsewhere")
    #expect(try receive(STUNMessage(.error, .binding, id, [.errorCode(error)]), &query) == .refused(error))
    #expect(query.deadline == nil)
  }
}
