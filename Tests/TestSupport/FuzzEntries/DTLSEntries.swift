import MartletCrypto
import MartletPrimitives

/// DTLS from addresses that nobody knows.
extension FuzzEntry {
  static let dtls = [dtlsListener]

  private static let client = SocketAddress(ip: .v4(0xC000_0201), port: 7000)

  private static let dtlsListener = FuzzEntry("dtls-listener", seeds: hellos(mtu: 1200) + hellos(mtu: 300)) { bytes in
    guard let listener else { return require(false, "a listener that cannot be made") }
    var answer = DatagramBatch()
    guard let engine = try? listener.receive(bytes.span.bytes, from: client, now: .zero, answer: &answer) else {
      require(answer.count <= 1, "more than one answer")
      return require(answer.isEmpty || answer[0].byteCount < bytes.count, "an answer that is longer than what asked for it")
    }
    require(answer.isEmpty, "an answer beside an association")
    var records = DatagramBatch()
    for piece in pieces(bytes) { engine.receive(Array(piece).span.bytes, into: &records) }
    require(records.isEmpty && engine.state != .connected, "data before a handshake")
  }

  /// The ClientHello of a client, in as many datagrams as it takes, without the cookie and with it.
  private static func hellos(mtu: Int) -> [[UInt8]] {
    let name = String(repeating: "a-long-label-of-some-host.", count: 7) + "example"
    guard let peer = try? DTLSEngine(client: .datagramClient(.insecure), serverName: name, mtu: mtu) else { return [] }
    var (output, answer) = (DatagramBatch(), DatagramBatch())
    peer.start()
    peer.takeOutput(into: &output)
    let first = datagrams(output)
    guard let hello = first.first else { return [] }
    _ = try? listener?.receive(hello.span.bytes, from: client, now: .zero, answer: &answer)
    for question in datagrams(answer) { peer.receive(question.span.bytes, into: &output) }
    peer.takeOutput(into: &output)
    return first + datagrams(output)
  }

  private static func datagrams(_ batch: DatagramBatch) -> [[UInt8]] { (0..<batch.count).map { Array(copying: batch[$0]) } }

  private static var listener: DTLSListener? { context.flatMap { try? DTLSListener($0, key: [1]) } }

  private static let context: TLSContext? = {
    guard let issued = try? Certificate.selfSigned(names: ["localhost"], days: 1, now: WallTime(milliseconds: 1_577_836_800_000)) else {
      return nil
    }
    return try? TLSContext.datagramServer([.init(certificateChainPEM: issued.certificatePEM, privateKeyPEM: issued.privateKeyPEM)])
  }()
}
