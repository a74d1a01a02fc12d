"""Names that people give to columns of events, by the role of the column.

    user    userId  User-ID  uid  customer_id  reviewerID …
    item    movieId  ISBN  artistID  asin  business_id …

A name is plain here: lower case, without blanks, `_`, `-` and `.`, so `User-ID` is `userid`.
"""

from collections.abc import Mapping
from typing import Final

USER: Final[str] = "user"
ITEM: Final[str] = "item"
RATING: Final[str] = "rating"
MINUTES: Final[str] = "minutes"
PERCENTAGE: Final[str] = "percentage"
COUNT: Final[str] = "count"
FLAG: Final[str] = "flag"
TIME: Final[str] = "time"
FIRST_TIME: Final[str] = "first_time"
LAST_TIME: Final[str] = "last_time"

VALUES: Final = (RATING, MINUTES, PERCENTAGE, COUNT, FLAG)  # of several the first is read
TIMES: Final = (TIME, FIRST_TIME, LAST_TIME)
ROLES: Final = (USER, ITEM, *VALUES, *TIMES)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Plain names by role; of two columns of one role the name that stands first is believed.
NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    USER: _words(
        "userid user uid customerid customer reviewerid memberid accountid account visitorid "
        "viewerid listenerid readerid playerid personid profileid clientid buyerid steamid "
        "subscriberid userno userkey userindex useridx usercode username member reviewer "
        "visitor viewer listener sessionid session u"
    ),
    ITEM: _words(
        "itemid movieid filmid bookid isbn isbn13 artistid asin parentasin businessid trackid "
        "songid artid traid albumid gameid appid productid goodsid articleid newsid videoid showid "
        "seriesid animeid mangaid recipeid beerid jokeid placeid venueid hotelid restaurantid "
        "courseid "
        "contentid titleid podcastid episodeid postid offerid listingid adid sku tconst iid mid "
        "itemno itemkey itemindex itemidx itemcode item movie film book artist track song album "
        "game product business article video show anime recipe beer joke content i"
    ),
    RATING: _words(
        "rating ratings stars star overall score bookrating userrating movierating itemrating "
        "reviewrating reviewoverall reviewscore starrating myrating ratingvalue ratingscore rate "
        "grade vote r"
    ),
    MINUTES: _words(
        "minutes minute watchtime watchminutes minuteswatched watchedminutes watchtimeminutes "
        "watchtimemin playtime playtimeminutes playtimeforever listenminutes minuteslistened "
        "hours hour hoursplayed playtimehours watchhours hourswatched playhours "
        "seconds secondswatched watchseconds watchtimeseconds playtimeseconds secondsplayed "
        "milliseconds msplayed playtimems watchtimems"
    ),
    PERCENTAGE: _words(
        "percentage percent pct progress completion completionrate percentwatched watchpercent "
        "watchedpercent percentcomplete watchratio watchedshare share fraction"
    ),
    COUNT: _words(
        "count counts plays playcount nplays numplays playcounts listens listencount scrobbles "
        "weight frequency freq quantity qty views viewcount nviews clicks purchases "
        "interactions n"
    ),
    FLAG: _words(
        "liked like likes isliked islike thumb thumbs thumbsup favorite favourite isfavorite "
        "isfavourite recommended isrecommended recommend clicked click isclick isclicked "
        "purchased bought ispurchased label feedback"
    ),
    TIME: _words(
        "timestamp unixreviewtime unixtime unixtimestamp epoch ts time datetime date eventtime "
        "eventtimestamp eventdate at createdat created ratedat reviewedat watchedat playedat "
        "viewedat updatedat ratingtime ratingdate ratingtimestamp reviewtime reviewdate "
        "reviewtimestamp watchdate watchedon viewdate purchasedate orderdate dateadded "
        "dateupdated timestampms timems interactiontime utc t"
    ),
    FIRST_TIME: _words("firstat firsttime firstseen"),
    LAST_TIME: _words("lastat lasttime lastseen lastplayed"),
}
