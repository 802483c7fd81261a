import MartletPrimitives
import MartletRTMP
import TestSupport
import Testing

/// RTMP 1.0 §5.2.
@Suite struct HandshakeTests {
  private func feed(_ server: inout ServerHandshake, _ bytes: [UInt8], _ output: inout [UInt8]) throws(RTMPError) -> Int {
    try server.receive(bytes.span.bytes, into: &output)
  }

  @Test(arguments: [ClientHandshake.Mode.simple, .digestFirst, .keyFirst])
  func `client and server finish, whatever the layout`(mode: ClientHandshake.Mode) throws {
    var random = SeededRandom(seed: 1)
    var fromClient: [UInt8] = []
    var client = ClientHandshake(mode, random: &random, into: &fromClient)
    var server = ServerHandshake(random: &random)
    var fromServer: [UInt8] = []
    #expect(try feed(&server, fromClient, &fromServer) == 1537)
    #expect(fromServer.count == 3073)
    let c1 = Array(fromClient[1...])
    #expect((Array(fromServer[1537...]) == c1) == (mode == .simple), "S2 is an echo only in the simple handshake")
    fromClient = []
    let taken = try client.receive(fromServer.span.bytes, into: &fromClient)
    #expect(taken == 3073 && fromClient.count == 1536)
    #expect((fromClient == Array(fromServer[1..<1537])) == (mode == .simple))
    let sent = fromServer.count
    #expect(try feed(&server, fromClient + [1, 2, 3], &fromServer) == 1536)
    let (serverDone, clientDone) = (server.isDone, client.isDone)
    #expect(serverDone && clientDone && fromServer.count == sent)
  }

  @Test func `nothing is sent before C1 is whole, then S0, S1 and S2 at once, and nothing more before C2`() throws {
    var random = SeededRandom(seed: 2)
    var server = ServerHandshake(random: &random)
    var output: [UInt8] = []
    for index in 0..<1537 {
      #expect(output.isEmpty)
      _ = try feed(&server, [index == 0 ? 3 : 0], &output)
    }
    #expect(output.count == 3073)
    for _ in 0..<1535 { _ = try feed(&server, [9], &output) }
    let isDone = server.isDone
    #expect(output.count == 3073 && !isDone)
  }

  @Test(arguments: [0, 1, 2, 4, 6, 22, 31] as [UInt8])
  func `a version below 32 is answered with 3`(version: UInt8) throws {
    var random = SeededRandom(seed: 3)
    var server = ServerHandshake(random: &random)
    var output: [UInt8] = []
    _ = try feed(&server, [version] + [UInt8](repeating: 0xFF, count: 1536), &output)
    #expect(output.first == 3 && output.count == 3073)
  }

  @Test(arguments: [
    (Array("GET / HTTP/1.1\r\n".utf8), RTMPError.ForeignProtocol.http), (Array("POST".utf8), .http), (Array("OPTIONS".utf8), .http),
    ([0x16, 3, 1, 2, 0, 1, 0, 1], .tls), ([0x16, 3, 3, 0, 200, 1], .tls), ([32], .unknown(firstByte: 32)),
    ([255, 1, 2], .unknown(firstByte: 255)),
  ])
  func `other protocols are told by name`(bytes: [UInt8], expected: RTMPError.ForeignProtocol) {
    var random = SeededRandom(seed: 4)
    var server = ServerHandshake(random: &random)
    var output: [UInt8] = []
    do {
      for byte in bytes { _ = try feed(&server, [byte], &output) }
      Issue.record("the bytes were taken for RTMP")
    } catch {
      #expect(error == .foreignProtocol(expected) && output.isEmpty)
    }
  }

  @Test func `a digest that does not match is answered as a simple handshake`() throws {
    var random = SeededRandom(seed: 5)
    var hello: [UInt8] = []
    _ = ClientHandshake(.keyFirst, random: &random, into: &hello)
    // The last byte is covered by the digest and lies in neither pointer.
    hello[1536] ^= 1
    var server = ServerHandshake(random: &random)
    var output: [UInt8] = []
    _ = try feed(&server, hello, &output)
    #expect(Array(output[1537...]) == Array(hello[1...]))
  }

  @Test func `a client says which version the server has`() throws {
    var random = SeededRandom(seed: 6)
    var output: [UInt8] = []
    var client = ClientHandshake(random: &random, into: &output)
    do {
      let bytes: [UInt8] = [6]
      _ = try client.receive(bytes.span.bytes, into: &output)
      Issue.record("version 6 was accepted")
    } catch {
      #expect(error == .unsupportedVersion(6))
    }
  }
}
