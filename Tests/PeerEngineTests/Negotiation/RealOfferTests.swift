import Foundation
import MartletCrypto
import MartletICE
import MartletPeerEngine
import MartletRTP
import MartletSDP
import Testing

/// What real peers offer, of `Tests/SDPTests/Vectors`, is answered so that they take it.
@Suite struct RealOfferTests {
  static let names = [
    "aiortc-1.16.0-offer", "chromium-156-offer", "chromium-156-offer-simulcast", "firefox-esr-153-offer",
    "firefox-esr-153-offer-simulcast", "pion-3.1.56-offer",
  ]

  private static func offer(_ name: String) throws -> SessionDescription {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let text = try String(contentsOf: tests.appendingPathComponent("SDPTests/Vectors/\(name).txt"), encoding: .utf8)
    // The offer of 2014 was written down with a misprint.
    return try SessionDescription(text.replacingOccurrences(of: "IP40.0.0.0", with: "IP4 0.0.0.0"))
  }

  private func answered(_ name: String, sends: Bool = true) throws -> (NegotiatingPeer, SessionDescription, SessionDescription) {
    var peer = NegotiatingPeer("m", seed: 5)
    if sends {
      try peer.negotiation.addTrack(.audio, "audio", streams: ["s"])
      try peer.negotiation.addTrack(.video, "video", streams: ["s"])
    }
    let offer = try Self.offer(name)
    try peer.negotiation.setRemoteDescription(.offer, offer)
    let answer = try carried(try peer.negotiation.setLocalDescription().session)
    peer.drain()
    return (peer, offer, answer)
  }

  @Test(arguments: names) func `every section is accepted in the bundle`(_ name: String) throws {
    let (peer, offer, answer) = try answered(name)
    try answer.validateForWebRTC(as: .answer)
    try answer.validateAnswer(to: offer)
    #expect(answer.media.map(\.isRejected) == [false, false, false])
    #expect(answer.groups == [.bundle(["0", "1", "2"])] && answer.media.map(\.mid) == offer.media.map(\.mid))
    #expect(answer.media.allSatisfy { $0.setup == .active && $0.iceUfrag == peer.local.fragment && $0.icePwd == peer.local.password })
    #expect(answer.media.map(\.transport) == offer.media.map(\.transport))
    #expect(answer.media[0].direction == .sendrecv && answer.media[1].direction == .sendrecv)
    #expect(answer.media[0].msids == [MediaStreamID(stream: "s", track: "audio")])
    #expect(peer.negotiation.transceivers.count == 2 && !peer.negotiation.needsNegotiation)
  }

  @Test(arguments: names) func `the transport and the data channel are those of the offer`(_ name: String) throws {
    let (peer, offer, answer) = try answered(name)
    let transport = try #require(peer.events.connects.first)
    #expect(transport.credentials.fragment == offer.media[0].iceUfrag && transport.credentials.password == offer.media[0].icePwd)
    #expect(transport.role == .client && transport.iceRole == .controlled && !transport.isLite)
    let fingerprints = offer.transport(of: 0).fingerprints
    #expect(transport.fingerprints.map(\.digest) == fingerprints.map(\.bytes))
    let candidates = offer.media[0].candidates.count
    #expect(peer.events.names.filter { $0 == "candidate" }.count == candidates && candidates > 0)
    #expect(peer.events.names.contains("end") == offer.media[0].hasEndOfCandidates)
    let data = try #require(peer.events.dataChannels.first)
    #expect(data.remotePort == 5000 && data.maxMessageSize == offer.media[2].maxMessageSize ?? 65536)
    #expect(answer.media[2].sctpPort == 5000 && answer.media[2].maxMessageSize == 262_144)
  }

  @Test(arguments: names) func `codecs and extensions are those of the offer that are known`(_ name: String) throws {
    let (peer, offer, answer) = try answered(name)
    for index in 0...1 {
      let offered = Dictionary(uniqueKeysWithValues: offer.media[index].codecs.map { ($0.payloadType, $0.name) })
      #expect(answer.media[index].codecs.allSatisfy { offered[$0.payloadType] == $0.name })
      // Silence of the telephone's codecs, whose clock is 8,000 Hz.
      #expect(answer.media[index].codecs.allSatisfy { $0.name != "CN" || $0.clockRate == 8000 })
      let maps = offer.media[index].extensions
      #expect(answer.media[index].extensions.allSatisfy { map in maps.contains { $0.id == map.id && $0.uri == map.uri } })
      let mid = HeaderExtensionKind.mid.uri
      #expect(answer.media[index].extensions.contains { $0.uri == mid } == maps.contains { $0.uri == mid })
      let incoming = peer.media.incoming[index], outgoing = peer.media.outgoing[index]
      #expect(incoming.codecs == answer.media[index].codecs)
      #expect(outgoing.codecs.map(\.payloadType) == incoming.codecs.map(\.payloadType))
      #expect(outgoing.encodings.first?.parameters.payloadType == offer.media[index].codecs[0].payloadType)
    }
    #expect(answer.media[1].codecs.contains { $0.name == "VP8" } && answer.media[0].codecs.contains { $0.isNamed("opus") })
    let rtx = peer.media.outgoing[1].encodings.first?.parameters.rtx
    #expect(rtx?.payloadType == peer.media.outgoing[1].rtxPayloadType(for: peer.media.outgoing[1].codecs[0]))
  }

  // RFC 8853, RFC 5576
  @Test(arguments: names) func `layers go by rid, other sources by what is announced`(_ name: String) throws {
    let (peer, offer, answer) = try answered(name, sends: false)
    let isSimulcast = offer.media[1].simulcast != nil
    let incoming = peer.media.incoming[1]
    #expect(incoming.rids == (isSimulcast ? ["q", "h", "f"] : []))
    #expect(answer.media[1].simulcast?.description == (isSimulcast ? "recv q;h;f" : nil))
    if !isSimulcast {
      let pair = try #require(offer.media[1].ssrcGroups.first { $0.semantics == "FID" }?.ssrcs)
      #expect(incoming.announced == [IncomingSection.Announced(ssrc: pair[0], rtx: pair[1])])
    }
    #expect(answer.media[0].direction == .recvonly && peer.media.outgoing.isEmpty)
    #expect(peer.events.tracks.count == 2)
    let ids = peer.negotiation.transceivers.map(\.receiver)
    #expect(ids.map(\.streams) == offer.media.prefix(2).map { [$0.msids[0].stream] })
    #expect(ids.map(\.track) == offer.media.prefix(2).map(\.msids[0].track))
  }

  @Test(arguments: names) func `our next offer keeps their numbers`(_ name: String) throws {
    var (peer, offer, _) = try answered(name)
    try peer.negotiation.addTrack(.video, "second")
    let next = try peer.negotiation.setLocalDescription().session
    try next.validateForWebRTC(as: .offer)
    #expect(next.media.count == 4 && next.media[0].codecs.first?.payloadType == offer.media[0].codecs.first?.payloadType)
    let opus = offer.media[0].codecs.first { $0.isNamed("opus") }?.payloadType
    #expect(next.media[0].codecs.first { $0.isNamed("opus") }?.payloadType == opus)
    let vp8 = offer.media[1].codecs.first { $0.name == "VP8" }?.payloadType
    #expect([1, 3].allSatisfy { next.media[$0].codecs.first { $0.name == "VP8" }?.payloadType == vp8 })
    #expect(next.media.map(\.setup) == [.actpass, .actpass, .actpass, .actpass] && peer.taken().restarts.isEmpty)
  }

  @Test func `an offer of 2014 is answered in kind`() throws {
    let (peer, offer, answer) = try answered("browser-2014-offer")
    try answer.validateAnswer(to: offer)
    let text = answer.write()
    #expect(text.contains("m=application 9 DTLS/SCTP 5000\r\n") && text.contains("a=sctpmap:5000 webrtc-datachannel 1024\r\n"))
    #expect(text.contains("m=audio 9 RTP/SAVPF 111 0 8 105 13 126\r\n") && text.contains("m=video 9 RTP/SAVPF 100 116 117\r\n"))
    #expect(!text.contains("sctp-port") && answer.media.map(\.direction) == [.sendonly, .sendrecv, nil])
    #expect(peer.events.dataChannels.map(\.remotePort) == [5000] && peer.events.dataChannels.map(\.maxMessageSize) == [65536])
    #expect(peer.media.incoming.map { $0.announced.map(\.ssrc) } == [[], [3_162_115_896], []])
    var again = peer
    try again.negotiation.addTransceiver(.video)
    let next = try again.negotiation.createOffer()
    #expect(next.media.map(\.transport.rawValue) == ["RTP/SAVPF", "RTP/SAVPF", "DTLS/SCTP", "UDP/TLS/RTP/SAVPF"])
    #expect(next.media[2].dataChannelForm == .sctpmap)
  }
}
