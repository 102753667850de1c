//! What a user can mean by a key: one row for each, with the sentence that help shows.

/// Something that the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Leave the program at once.
    Quit,
    /// Leave what is open; at the bottom, leave the program.
    Leave,
    /// Leave what is open, but never the program.
    Back,
    /// Show the keys.
    Help,
    /// Type a command.
    Command,
    /// Show another screen.
    NextScreen,
    /// Show another screen.
    PreviousScreen,
    /// Show the SAs.
    ShowSas,
    /// Show the policies.
    ShowPolicies,
    /// Show the packets.
    ShowPackets,
    /// Show the events.
    ShowEvents,
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// Half a page up.
    HalfPageUp,
    /// Half a page down.
    HalfPageDown,
    /// One page up.
    PageUp,
    /// One page down.
    PageDown,
    /// To the first row.
    First,
    /// To the last row.
    Last,
    /// See one row whole.
    Open,
    /// Show only some rows.
    Filter,
    /// Choose the column to order by.
    Sort,
    /// Order by the next column.
    SortByNext,
    /// Order by the column before.
    SortByPrevious,
    /// Turn the order round.
    SortBackwards,
    /// Mark the selected row, or not any more.
    MarkRow,
    /// Mark all rows of the list that are not marked, and no others.
    MarkOthers,
    /// Put the rows into the terminal's clipboard.
    CopyRows,
    /// Choose the columns.
    Columns,
    /// Show a column, or not any more.
    ShowColumn,
    /// Put a column one place towards the beginning.
    ColumnEarlier,
    /// Put a column one place towards the end.
    ColumnLater,
    /// Back to the columns that are shown where nobody chose.
    UsualColumns,
    /// Make an SA or a policy.
    Add,
    /// Change the selected row.
    Edit,
    /// Plan what protects the traffic with another host.
    Pair,
    /// Remove the selected row.
    Delete,
    /// Remove all.
    Flush,
    /// Show keys for a moment.
    Reveal,
    /// Read everything from the kernel again.
    Refresh,
    /// Stop or go on taking packets in.
    Freeze,
    /// Stay with the newest packet, or not.
    Follow,
    /// Choose where packets are taken.
    Interface,
    /// Forget the packets seen.
    Clear,
    /// Show the SA that a packet belongs to.
    GoToSa,
    /// Show the policy that decided over a packet.
    GoToPolicy,
    /// Show only the packets of this one's SA.
    OnlyThisSa,
    /// Show the packets of an SA.
    ItsPackets,
    /// Mark the bytes of the next layer.
    NextLayer,
    /// Mark the bytes of the layer before.
    PreviousLayer,
    /// To the next packet of the list.
    NextPacket,
    /// To the packet before in the list.
    PreviousPacket,
    /// To the next packet of the same SA.
    NextOfSa,
    /// To the packet before of the same SA.
    PreviousOfSa,
    /// Look for a text in packets, on the wire and decrypted.
    Search,
    /// To the next packet with the text.
    NextMatch,
    /// To the packet before with the text.
    PreviousMatch,
    /// Mark a packet, or not any more.
    Mark,
    /// To the next marked packet.
    NextMarked,
    /// Begin to write the listed packets to a file, or end it.
    Record,
    /// Show the sums of each peer.
    Peers,
    /// Is the traffic with this peer encrypted?
    Check,
    /// To the next field.
    NextField,
    /// To the field before.
    PreviousField,
    /// The next of the choices.
    NextChoice,
    /// The choice before.
    PreviousChoice,
    /// Another small form in a list.
    AddItem,
    /// One less.
    RemoveItem,
    /// Before the one before it.
    MoveItemUp,
    /// Make up a key or a number.
    Generate,
    /// Send what the form says.
    Submit,
    /// Make this host's half.
    MakeHere,
    /// Make the other half on the lab's other host.
    MakeThere,
    /// Take back what was done last.
    TakeBack,
    /// Show it in the other language.
    OtherLanguage,
    /// Into the terminal's clipboard.
    Copy,
    /// Into a file.
    Save,
    /// Yes, do it.
    Confirm,
    /// No, leave it.
    Decline,
    /// Take what is chosen or typed.
    Accept,
    /// Complete what is typed.
    Complete,
}

impl Action {
    /// What help says, in a few words.
    pub fn help(self) -> &'static str {
        match self {
            Self::Quit => "leave espial",
            Self::Leave => "step back; leave espial from a screen",
            Self::Back => "step back",
            Self::Help => "show these keys",
            Self::Command => "type a command, as :theme light",
            Self::NextScreen => "next screen",
            Self::PreviousScreen => "screen before",
            Self::ShowSas => "SAs",
            Self::ShowPolicies => "policies",
            Self::ShowPackets => "packets",
            Self::ShowEvents => "events",
            Self::Up => "up",
            Self::Down => "down",
            Self::HalfPageUp => "half a page up",
            Self::HalfPageDown => "half a page down",
            Self::PageUp => "a page up",
            Self::PageDown => "a page down",
            Self::First => "first row",
            Self::Last => "last row",
            Self::Open => "everything about the row",
            Self::Filter => "filter: words, or as dst 10.9.0.0/24 and errors > 0",
            Self::Sort => "sort: choose the column",
            Self::SortByNext => "sort by the next column",
            Self::SortByPrevious => "sort by the column before",
            Self::SortBackwards => "turn the order round",
            Self::MarkRow => "mark the row, or not any more",
            Self::MarkOthers => "mark what is listed; what is marked, not any more",
            Self::CopyRows => "copy the marked rows, or this one (OSC 52)",
            Self::Columns => "choose the columns and their order",
            Self::ShowColumn => "show the column, or not any more",
            Self::ColumnEarlier => "put the column further to the left",
            Self::ColumnLater => "put the column further to the right",
            Self::UsualColumns => "the usual columns",
            Self::Add => "add",
            Self::Edit => "edit: change the row",
            Self::Pair => "pair: protect traffic with a host; new keys; remove",
            Self::Delete => "delete the marked rows, or this one (asks first)",
            Self::Flush => "flush: delete all that is listed (asks first)",
            Self::Reveal => "reveal the keys for ten seconds",
            Self::Refresh => "read everything from the kernel again",
            Self::Freeze => "freeze or go on",
            Self::Follow => "follow the newest",
            Self::Interface => "choose the interface",
            Self::Clear => "forget the packets seen",
            Self::GoToSa => "to the packet's SA",
            Self::GoToPolicy => "to the policy that decided over the packet",
            Self::OnlyThisSa => "only packets of this one's SA",
            Self::ItsPackets => "the packets of this SA",
            Self::NextLayer => "mark the bytes of the next layer",
            Self::PreviousLayer => "mark the bytes of the layer before",
            Self::NextPacket => "next packet of the list",
            Self::PreviousPacket => "packet before",
            Self::NextOfSa => "next packet of the same SA",
            Self::PreviousOfSa => "packet before of the same SA",
            Self::Search => "text: find it on the wire and decrypted, and mark it",
            Self::NextMatch => "next packet with the text",
            Self::PreviousMatch => "packet before with the text",
            Self::Mark => "mark the packet, or not any more",
            Self::NextMarked => "to the next marked packet",
            Self::Record => "record the listed packets in a file; end it",
            Self::Peers => "sums of each peer",
            Self::Check => "check: is the traffic with this peer encrypted?",
            Self::NextField => "next field",
            Self::PreviousField => "field before",
            Self::NextChoice => "next choice",
            Self::PreviousChoice => "choice before",
            Self::AddItem => "another transform",
            Self::RemoveItem => "remove the transform",
            Self::MoveItemUp => "move the transform up",
            Self::Generate => "make up a random key or a free SPI",
            Self::Submit => "send the form",
            Self::MakeHere => "yes: do the next step on this host",
            Self::MakeThere => "in the lab: do the next step on the other host",
            Self::TakeBack => "undo: take back what was done last",
            Self::OtherLanguage => "show it in the other language, setkey or ip xfrm",
            Self::Copy => "copy the other host's script (asks if keys are in it)",
            Self::Save => "save the other host's script, WITH ITS KEYS",
            Self::Confirm => "yes",
            Self::Decline => "no",
            Self::Accept => "take it",
            Self::Complete => "complete the word",
        }
    }

    /// The word for it in the hint line at the foot of a screen.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Help => "help",
            Self::Command => "command",
            Self::Open => "details",
            Self::Filter => "filter",
            Self::Sort => "sort",
            Self::MarkRow => "mark",
            Self::Columns => "columns",
            Self::ShowColumn => "show",
            Self::ColumnEarlier => "left",
            Self::ColumnLater => "right",
            Self::UsualColumns => "usual",
            Self::Delete => "delete",
            Self::Flush => "flush",
            Self::Reveal => "keys",
            Self::Freeze => "freeze",
            Self::Follow => "follow",
            Self::Interface => "interface",
            Self::Clear => "forget",
            Self::Check => "check",
            Self::GoToSa => "its SA",
            Self::NextLayer => "layer",
            Self::NextPacket => "next",
            Self::NextOfSa => "same SA",
            Self::Search => "text",
            Self::GoToPolicy => "its policy",
            Self::ItsPackets => "packets",
            Self::Record => "record",
            Self::Peers => "peers",
            Self::AddItem => "another",
            Self::RemoveItem => "remove",
            Self::MoveItemUp => "up",
            Self::Generate => "random",
            Self::Submit => "send",
            Self::Edit => "edit",
            Self::Pair => "pair",
            Self::MakeHere => "yes, here",
            Self::MakeThere => "there",
            Self::TakeBack => "undo",
            Self::OtherLanguage => "language",
            Self::Copy | Self::CopyRows => "copy",
            Self::Save => "save",
            Self::NextScreen => "screens",
            Self::Leave => "leave",
            Self::Back => "back",
            Self::NextChoice => "choose",
            other => other.help(),
        }
    }

    /// Whether it changes the kernel: `--read-only` takes these away.
    pub fn is_dangerous(self) -> bool {
        matches!(
            self,
            Self::Add
                | Self::Edit
                | Self::Pair
                | Self::Delete
                | Self::Flush
                | Self::Confirm
                | Self::MakeHere
                | Self::MakeThere
                | Self::TakeBack
        )
    }
}
