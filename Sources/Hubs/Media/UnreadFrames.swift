/// Frames that a publisher of packets did not make, since nobody reads them: what counts of them.
package struct UnreadFrames: Sendable, Equatable {
  package var pictures = 0
  package var sounds = 0
  package var bytes = 0

  package init() {}

  package var isEmpty: Bool { self == UnreadFrames() }
}
