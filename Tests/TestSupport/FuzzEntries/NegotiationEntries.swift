import MartletCrypto
import MartletICE
import MartletPeerEngine
import MartletPrimitives
import MartletSDP

/// Offers and answers of a peer: a session takes or refuses them, and goes on to say what others understand.
extension FuzzEntry {
  static let negotiations = [negotiatedOffer, negotiatedAnswer]

  private static func session(seed: UInt64) -> PeerNegotiation {
    let fingerprint = CertificateFingerprint(.sha256, [UInt8](repeating: 7, count: 32))
    var random = RandomSource(seed: seed)
    let local = LocalTransport(credentials: ICECredentials(random: &random), fingerprints: [fingerprint])
    var negotiation = PeerNegotiation(local: local, random: random)
    _ = try? negotiation.addTrack(.audio, "audio", streams: ["s"])
    _ = try? negotiation.addTransceiver(.video, rids: ["q", "f"])
    try? negotiation.openDataChannels()
    return negotiation
  }

  private static let offer: String = {
    var peer = session(seed: 1)
    return (try? peer.createOffer().write()) ?? ""
  }()

  private static let answer: String = {
    var peer = session(seed: 2)
    guard let offer = try? SessionDescription(offer), (try? peer.setRemoteDescription(.offer, offer)) != nil else { return "" }
    return (try? peer.createAnswer().write()) ?? ""
  }()

  private static let negotiatedOffer = FuzzEntry("negotiation-offer", seeds: [Array(offer.utf8)]) { bytes in
    guard let offer = try? SessionDescription(String(decoding: bytes, as: UTF8.self)) else { return }
    var peer = session(seed: 2)
    guard (try? peer.setRemoteDescription(.offer, offer)) != nil else { return }
    guard let answer = try? peer.setLocalDescription().session else { return require(false, "an offer that cannot be answered") }
    require((try? SessionDescription(answer.write())) == answer, "an answer that reads differently")
    require((try? answer.validateForWebRTC(as: .answer)) != nil, "an answer of no use")
    goOn(&peer)
  }

  private static let negotiatedAnswer = FuzzEntry("negotiation-answer", seeds: [Array(answer.utf8)]) { bytes in
    guard let answer = try? SessionDescription(String(decoding: bytes, as: UTF8.self)) else { return }
    var peer = session(seed: 1)
    guard (try? peer.setLocalDescription()) != nil else { return require(false, "no offer") }
    let before = peer.transceivers
    guard (try? peer.setRemoteDescription(.answer, answer)) != nil else {
      return require(peer.transceivers == before && peer.signalingState == .haveLocalOffer, "a refusal that changes something")
    }
    goOn(&peer)
  }

  private static func goOn(_ peer: inout PeerNegotiation) {
    require(peer.signalingState == .stable, "an exchange that does not end")
    var events = 0
    while peer.pollEvent() != nil { events += 1 }
    require(events < 2000, "events without end")
    let media = peer.negotiatedMedia()
    require(media.incoming.count == peer.currentLocalDescription?.media.count, "an incoming section too few or too many")
    require(media.outgoing.allSatisfy { !$0.encodings.isEmpty && !$0.codecs.isEmpty }, "a section that sends nothing")
    // There may be no payload type left.
    guard let next = try? peer.createOffer() else { return }
    require((try? SessionDescription(next.write())) == next, "an offer that reads differently")
    require((try? next.validateForWebRTC(as: .offer)) != nil, "an offer of no use")
  }
}
