internal import MartletCodecs
internal import MartletIO
internal import MartletMedia
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletRooms
internal import MartletRTP
internal import MartletWebRTC

// Of what it watches, how much: what the path carries and the participant would see.
extension RoomPeer {
  /// How often layers are chosen; feedback about the path comes more often.
  private static let choiceInterval = TimeSpan.milliseconds(500)
  /// Of what a path carries, for each sound.
  private static let soundRate = 50_000

  /// A picture that goes out, and what can be had of it.
  fileprivate struct Place {
    let forwarding: StreamForwarding
    /// Of the sender.
    let index: Int
    let subscription: RoomOffer.Subscription
    let wish: RoomView.Wish?
    let rates: [(layer: UInt8, rate: Int)]
    /// Where the layers are in one source.
    let scalability: Scalability?

    /// - Parameter isLeftOut: others come before it.
    func picture(isLeftOut: Bool) -> LayerAllocation.Picture {
      let present = forwarding.choice(of: index)
      return LayerAllocation.Picture(
        rates: isLeftOut || wish?.isPaused == true ? [] : rates.map(\.rate), useful: useful, priority: wish?.area ?? 0,
        present: rates.firstIndex { $0.layer == present })
    }

    /// The least that fills so many lines.
    private var useful: Int {
      guard let scalability else { return LayerAllocation.useful(wish?.height, of: rates.count) }
      guard let height = wish?.height else { return rates.count - 1 }
      let targets = rates.map { scalability.targets[Int($0.layer)] }
      guard let least = targets.filter({ ($0.height ?? .max) >= height }).map(\.spatial).min() else { return rates.count - 1 }
      return targets.lastIndex { $0.spatial == least } ?? rates.count - 1
    }
  }

  internal func chooseLayers(_ now: Instant) {
    nextChoice = now + Self.choiceInterval
    if speech.timeout(now: now) { tellSpeech() }
    let places = places(now)
    let limit = view?.lastN ?? roomLimit
    let isChosen = LastSpeakers.choose(places.map(\.candidate), limit: limit, speakers: speakers)
    let pictures = zip(places, isChosen).map { $0.picture(isLeftOut: !$1) }
    let budget = (peer.media.congestion?.estimate).map { max(0, $0.bitsPerSecond - sounds * Self.soundRate) }
    for (index, layer) in LayerAllocation.layers(of: pictures, budget: budget).enumerated() {
      let place = places[index]
      // Where nothing has come yet, nothing is known to choose by.
      if place.rates.isEmpty, isChosen[index], place.wish?.isPaused != true { continue }
      place.forwarding.choose(layer.map { place.rates[$0].layer }, of: place.index)
    }
  }

  private var roomLimit: Int? {
    let limit = context.service(RoomHub.self).configuration.lastN
    return limit == 0 ? nil : limit
  }

  private var sounds: Int { forwardings.values.reduce(0) { $0 + $1.senders.count { $0.section.kind == .audio } } }

  private func places(_ now: Instant) -> [Place] {
    let wanted = subscriptions
    return forwardings.values.flatMap { forwarding in
      forwarding.senders.enumerated().compactMap { index, sender in
        guard sender.section.kind == .video, let track = sender.track, let subscription = wanted[sender.outgoing] else { return nil }
        return Place(
          forwarding: forwarding, index: index, subscription: subscription, wish: view?.wishes[subscription],
          rates: forwarding.ring.layerRates(of: track, now: now), scalability: forwarding.ring.scalability(of: track))
      }
    }
  }
}

extension RoomPeer.Place {
  fileprivate var candidate: LastSpeakers.Candidate {
    LastSpeakers.Candidate(
      participant: subscription.participant, isCamera: subscription.source == .camera, isPinned: wish?.isPinned == true)
  }
}
