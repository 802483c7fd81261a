/// What an SRTP context holds at most. A source's state is a few words and its window's bits.
package struct SRTPLimits: Sendable {
  /// Sources (SSRCs) of one context. None is ever forgotten while the key lives, for with its window would go the knowledge of
  /// what was sent or seen.
  package var sources = 1024
  /// How far behind the newest packet one may be and still be sent or accepted, in packets; rounded up to a power of two from 64.
  /// RFC 3711 §3.3.2 asks for at least 64; a second of 8 Mbit/s video is about 1,000.
  package var window = 1024
  /// Whether a sender accepts a packet again that is the same in every byte, to answer a NACK of a peer without RTX. It then keeps
  /// 8 bytes for each packet of the window. Tags of 32 bits do not tell packets apart, so that profile never repeats.
  package var repeats = false

  package init() {}
}
