import MartletPeerEngine
import MartletSDP
import Testing

@Suite struct OfferAnswerTests {
  private let directions: [MediaDirection] = [.sendrecv, .sendonly, .recvonly, .inactive]

  // RFC 8829 §5.2, 5.3
  @Test func `audio, video and data are offered and answered over one transport`() throws {
    var a = NegotiatingPeer("a", seed: 1), b = NegotiatingPeer("b", seed: 2)
    try a.negotiation.addTrack(.audio, "microphone", streams: ["s"])
    try a.negotiation.addTrack(.video, "camera", streams: ["s"])
    try a.negotiation.openDataChannels()
    try exchange(&a, &b)
    #expect(b.events.names == ["track", "track", "media", "have-remote-offer", "connect", "media", "data", "stable"])
    #expect(a.events.names == ["needed", "media", "have-local-offer", "connect", "media", "data", "stable"])
    #expect(b.negotiation.transceivers.map(\.receiver.track) == ["microphone", "camera"])
    #expect(b.negotiation.transceivers.map(\.receiver.streams) == [["s"], ["s"]])
    #expect(b.negotiation.transceivers.map(\.currentDirection) == [.recvonly, .recvonly])
    #expect(b.media.outgoing.isEmpty && a.media.outgoing.count == 2)
  }
}
