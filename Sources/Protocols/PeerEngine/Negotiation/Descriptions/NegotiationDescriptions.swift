internal import MartletICE
internal import MartletSDP

/// A description that is or was in force, with what it was.
struct SetDescription: Equatable, Sendable {
  let type: SDPType
  var session: SessionDescription
}

/// The four descriptions of a session (RFC 8829 §4.1.9): what was agreed on, and what is being.
struct NegotiationDescriptions: Equatable, Sendable {
  var currentLocal: SetDescription?, currentRemote: SetDescription?
  var pendingLocal: SetDescription?, pendingRemote: SetDescription?

  var local: SetDescription? { pendingLocal ?? currentLocal }
  var remote: SetDescription? { pendingRemote ?? currentRemote }

  mutating func set(_ side: SignalingState.Side, _ description: SetDescription) {
    switch (side, description.type == .answer) {
    case (.local, false): pendingLocal = description
    case (.remote, false): pendingRemote = description
    case (.local, true): (currentLocal, currentRemote) = (description, pendingRemote)
    case (.remote, true): (currentLocal, currentRemote) = (pendingLocal, description)
    }
    if description.type == .answer { rollBack() }
  }

  mutating func rollBack() { (pendingLocal, pendingRemote) = (nil, nil) }

  /// How many sections there are, which never become fewer (RFC 3264 §8).
  var sectionCount: Int { max(local?.session.media.count ?? 0, remote?.session.media.count ?? 0) }

  /// RFC 8829 §5.2.2: a section that either side has rejected may be given to another transceiver.
  func isRecyclable(_ index: Int) -> Bool {
    [currentLocal, currentRemote].contains { description in
      guard let media = description?.session.media, media.indices.contains(index) else { return false }
      return media[index].isRejected
    }
  }
}

/// What `createOffer` or `createAnswer` made, to be set.
struct CreatedDescription: Equatable, Sendable {
  let type: SDPType
  var session: SessionDescription
  /// Of ours, in it.
  var credentials: ICECredentials
  /// Whose section is which.
  var transceivers: [Int: Transceiver.ID] = [:]
}

extension SessionDescription {
  /// Without candidates, which may have been added on the way.
  var withoutCandidates: SessionDescription {
    var session = self
    for index in session.media.indices {
      session.media[index].candidates = []
      session.media[index].hasEndOfCandidates = false
    }
    return session
  }

  /// The section whose transport an answer uses for all (RFC 8843 §7.3): the first in its bundle that is not rejected, or the only
  /// one; `nil` when all are.
  var answeredTransportSection: Int? {
    media.indices.first { !media[$0].isRejected }.map { transportSection(of: $0) }
  }
}
