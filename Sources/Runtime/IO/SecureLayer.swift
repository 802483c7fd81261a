package import MartletCrypto
internal import MartletPrimitives

/// TLS between a connection and its socket: the engine, and the ciphertext that the kernel has not taken yet.
package final class SecureLayer {
  /// Plaintext encrypted at a time: more would only wait here instead of in the source's ring.
  private static let batch = 128 * 1024

  private let engine: TLSEngine
  private var waiting = Slice()
  private var offset = 0
  /// Who gets an accepted connection when its handshake is complete.
  internal var accept: ((TCPConnection) -> Void)?

  /// - Parameter serverName: for clients, the host to ask for and to verify.
  package init(_ context: TLSContext, serverName: String? = nil) throws(TLSError) {
    engine = try TLSEngine(context, serverName: serverName)
  }

  internal var isEstablished: Bool { engine.isEstablished }
  internal var peerClosed: Bool { engine.peerClosed }
  internal var applicationProtocol: String? { engine.alpn }
  internal var hasCiphertext: Bool { offset < waiting.count || engine.hasOutput }

  internal func start() throws(TLSError) { try engine.start() }
  internal func closeNotify() { engine.closeNotify() }

  internal func receive(_ ciphertext: RawSpan, into plaintext: inout [UInt8]) throws(TLSError) {
    try engine.receive(ciphertext, into: &plaintext)
  }

  /// Encrypts the front of what was gathered, in full records, and answers how much.
  internal func send(_ vector: IOVector) throws(TLSError) -> Int {
    let plaintext = vector.copy(atMost: Self.batch)
    try engine.send(plaintext.span.bytes)
    return plaintext.count
  }

  internal func gather(into vector: IOVector) {
    if offset >= waiting.count {
      waiting = Slice(engine.takeOutput())
      offset = 0
    }
    vector.append(waiting, from: offset)
  }

  internal func didSend(_ count: Int) {
    offset += count
    if offset >= waiting.count { (waiting, offset) = (Slice(), 0) }
  }
}
