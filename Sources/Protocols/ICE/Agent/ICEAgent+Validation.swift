package import MartletPrimitives

extension ICEAgent {
  /// Whether the peer has shown that it is at this address, by an authentic check or answer: large answers may go there, also
  /// before a pair is selected (DTLS begins as soon as the peer sees that a pair works).
  package func isValidated(_ base: ICEBase, _ remote: SocketAddress) -> Bool {
    if let pair = selection?.pair, pair.remote == remote, pair.base == base { return true }
    return list.pair(on: base, to: remote).map { list.pairs[$0].state == .succeeded } ?? false
  }
}
