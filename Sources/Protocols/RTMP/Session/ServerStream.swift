internal import MartletPrimitives

/// One message stream of a client: a `NetStream` in Flash's words.
struct ServerStream {
  enum State {
    /// Created, not in use.
    case idle
    /// `publish` awaits its decision; media of impatient encoders is kept.
    case publishUndecided
    case publishing
    case playUndecided
    case playing
    /// Refused or ended: media still on its way is dropped.
    case over
  }

  var state = State.idle
  /// What is published or played, without its query.
  var name = ""

  var isPlaying: Bool {
    if case .playing = state { true } else { false }
  }

  /// Whether the driver knows of it.
  var isActive: Bool {
    switch state {
    case .idle, .over: false
    case .publishUndecided, .publishing, .playUndecided, .playing: true
    }
  }

  var isPublisher: Bool {
    switch state {
    case .publishUndecided, .publishing: true
    case .idle, .over, .playUndecided, .playing: false
    }
  }
}
